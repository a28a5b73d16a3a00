/**
 * How a tree is cut into tiles (C2SP tlog-tiles). A tile holds 256 neighbouring hashes; those of level 0 are leaf hashes,
 * those of a higher level are the roots of full tiles of the level below. Tiles at the right edge are partial.
 */

/** How many levels of the tree one level of tiles spans. */
export const tileHeight = 8;
/** Hashes in a full tile. */
export const tileWidth = 256;
/** Levels of tiles that a tree of at most 2^53 - 1 leaves can have. */
export const tileLevelsMax = 7;

/** A complete subtree of 2^level leaves, the index-th of its level; level 0 are the leaves. */
export type TreeNode = { readonly level: number; readonly index: number };

/** Where a node is found: it is the root over `count` hashes, from `first` on, of a full or partial tile. */
export type TilePlace = {
  readonly level: number;
  readonly index: number;
  readonly first: number;
  readonly count: number;
};

if (2 ** tileHeight !== tileWidth) throw new Error("tiles: tileWidth is not 2 ** tileHeight");
if (tileWidth ** tileLevelsMax <= Number.MAX_SAFE_INTEGER) throw new Error("tiles: tileLevelsMax is too small");

/** How many hashes the partial tile of a level has in a tree of `size` leaves: 0 to 255. */
export function partialWidth(size: number, level: number): number {
  return Math.floor(size / tileWidth ** level) % tileWidth;
}

/** How many hashes a tile has in a tree of `size` leaves: 256 when it is full, 0 when the tree does not reach it. */
export function widthAt(size: number, level: number, index: number): number {
  const hashes = Math.floor(size / tileWidth ** level) - index * tileWidth;
  return Math.max(0, Math.min(tileWidth, hashes));
}

export function tilePlace(node: TreeNode): TilePlace {
  const level = Math.floor(node.level / tileHeight);
  const count = 2 ** (node.level % tileHeight);
  const nodesPerTile = tileWidth / count;
  const index = Math.floor(node.index / nodesPerTile);
  return { level, index, first: (node.index - index * nodesPerTile) * count, count };
}
