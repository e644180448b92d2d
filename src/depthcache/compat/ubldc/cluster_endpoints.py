"""The paths of a cluster's commands."""

from __future__ import annotations

__all__ = ["ClusterEndpoints"]


class ClusterEndpoints:
    """The path of each command, relative to the URL of the cluster."""

    add_credentials = "add_credentials"
    create_depthcache = "create_depthcache"
    create_depthcaches = "create_depthcaches"
    get_asks = "get_asks"
    get_bids = "get_bids"
    get_cluster_info = "get_cluster_info"
    get_credentials_list = "get_credentials_list"
    get_depthcache_info = "get_depthcache_info"
    get_depthcache_list = "get_depthcache_list"
    remove_credentials = "remove_credentials"
    stop_depthcache = "stop_depthcache"
    test = "test"
