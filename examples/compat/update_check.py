"""Whether there is a newer release of this package."""

from depthcache.compat.ubldc import BinanceLocalDepthCacheManager

with BinanceLocalDepthCacheManager() as ubldc:
    if ubldc.is_update_available():
        print(f"{ubldc.get_latest_version()} is out, {ubldc.get_version()} is installed")
        release = ubldc.get_latest_release_info()
        if release:
            print(f"source: {release['tarball_url']}, notes: {release['html_url']}")
            print(release["body"][:200])
    else:
        print(f"{ubldc.get_user_agent()} is the newest, or the index could not be reached")
