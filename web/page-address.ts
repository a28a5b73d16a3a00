/** What the page shows, as its address says: `?election=<id>#<region>`. The region's hash is empty for the root. */
export type PageAddress = { readonly electionId: string | undefined; readonly regionId: string };

export function readAddress(search: string, hash: string): PageAddress {
  const electionId = new URLSearchParams(search).get("election")?.trim();
  return { electionId: electionId === "" ? undefined : electionId, regionId: decodeHash(hash) };
}

export function electionAddress(electionId: string): string {
  return `?election=${encodeURIComponent(electionId)}`;
}

/** Regions are paths of letters, digits and dashes: they stand in an address as they are. */
export function regionAddress(regionId: string): string {
  return `#${regionId}`;
}

function decodeHash(hash: string): string {
  const raw = hash.replace(/^#/, "");
  try {
    return decodeURIComponent(raw);
  } catch {
    return raw;
  }
}
