/** Links to the other nodes of the cluster, for the time when the node of the page is gone. Loaded on nodes alone. */

import { h } from "./dom.js";
import { session } from "./session.js";
import { stream } from "./stream.js";

const LOOK_MS = 60_000;

let hosts = [];
let shown = "";

/** Where the other nodes are: a browser lets no page of one node ask another, so people have to go there. */
export function takeNodes(nodes, me) {
  const isThere = ({ id, address, state }) => address && id !== me && (state === "alive" || state === "draining");
  hosts = nodes.filter(isThere).map(({ address }) => address);
}

async function look() {
  const found = stream.isOpen && !document.hidden ? await session.json("/v1/cluster/nodes").catch(() => null) : null;
  if (found) takeNodes(found.nodes, found.node);
}

const place = h("span", { class: "others" });

function render() {
  const isLost = stream.phase === "waiting" || (stream.phase === "connecting" && stream.reason !== "");
  const links = isLost ? hosts.map((host) => h("a", { href: `${location.protocol}//${host}/`, rel: "noreferrer" }, host)) : [];
  if (links.join() === shown) return;
  shown = links.join();
  place.replaceChildren(links.length > 0 ? "Other nodes of the cluster: " : "", ...links.flatMap((link, at) => (at > 0 ? [", ", link] : [link])));
}

document.querySelector("#top [data-does=retry]").after(place);
stream.onChange(() => {
  render();
  if (stream.isOpen) look();
});
setInterval(look, LOOK_MS);
look();
