/** Proofs for any leaf and any size of a tree, from its tiles. */
import { LedgerFormatError } from "#proto/ledger/ledger-format-error.ts";
import { hashBytes, nodeHash } from "#proto/ledger/merkle-hash.ts";
import {
  consistencyRanges,
  foldRange,
  inclusionRanges,
  type NodeRange,
  rootRanges,
} from "#proto/ledger/proof-shape.ts";
import { type TilePlace, type TreeNode, tilePlace, widthAt } from "#proto/ledger/tiles.ts";

/** The first `width` hashes of a tile, 32 bytes each. The tile may have more by now. */
export type ReadTile = (level: number, index: number, width: number) => Promise<Buffer>;

export class TileProofs {
  readonly #read: ReadTile;

  constructor(read: ReadTile) {
    this.#read = read;
  }

  /** The leaf's sibling first. */
  inclusion(leafIndex: number, treeSize: number): Promise<Buffer[]> {
    return this.#fold(inclusionRanges(leafIndex, treeSize), treeSize);
  }

  consistency(oldSize: number, newSize: number): Promise<Buffer[]> {
    return this.#fold(consistencyRanges(oldSize, newSize), newSize);
  }

  async rootAt(size: number): Promise<Buffer> {
    const range = rootRanges(size);
    const tiles = await this.#tilesOf([range], size);
    return foldRange(range, (node) => nodeIn(tiles, node));
  }

  async #fold(ranges: readonly NodeRange[], size: number): Promise<Buffer[]> {
    const tiles = await this.#tilesOf(ranges, size);
    return ranges.map((range) => foldRange(range, (node) => nodeIn(tiles, node)));
  }

  /** Every tile that the nodes lie in, read once. */
  async #tilesOf(ranges: readonly NodeRange[], size: number): Promise<ReadonlyMap<string, Buffer>> {
    const places = new Map(ranges.flat().map((node) => [keyOf(tilePlace(node)), tilePlace(node)]));
    const read = async ([key, { level, index }]: [string, TilePlace]): Promise<[string, Buffer]> => {
      const width = widthAt(size, level, index);
      const hashes = await this.#read(level, index, width);
      if (hashes.length === width * hashBytes) return [key, hashes];
      throw new LedgerFormatError(`tile ${key} was read with ${hashes.length} bytes; ${width} hashes were expected`);
    };
    return new Map(await Promise.all([...places].map(read)));
  }
}

function keyOf({ level, index }: TilePlace): string {
  return `${level}/${index}`;
}

/** The hash of a node: the root over the hashes of its tile that it spans, a power of two. */
function nodeIn(tiles: ReadonlyMap<string, Buffer>, node: TreeNode): Buffer {
  const place = tilePlace(node);
  const tile = tiles.get(keyOf(place));
  if (tile === undefined) throw new Error(`tile ${keyOf(place)} was not read`);
  return rootOver(tile, place.first, place.count);
}

function rootOver(tile: Buffer, first: number, count: number): Buffer {
  if (count === 1) return tile.subarray(first * hashBytes, (first + 1) * hashBytes);
  return nodeHash(rootOver(tile, first, count / 2), rootOver(tile, first + count / 2, count / 2));
}
