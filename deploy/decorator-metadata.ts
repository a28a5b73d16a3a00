/**
 * The part of the Reflect metadata proposal that tsyringe asks for when it is loaded, and `@peculiar/x509` loads it: what
 * was said about a class can be read again, also of the classes that extend it. To be imported before that package.
 */
const stored = new WeakMap<object, Map<unknown, unknown>>();

function getOwnMetadata(key: unknown, target: object): unknown {
  return stored.get(target)?.get(key);
}

function getMetadata(key: unknown, target: object): unknown {
  for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at)) {
    if (stored.get(at)?.has(key) === true) return getOwnMetadata(key, at);
  }
  return undefined;
}

function defineMetadata(key: unknown, value: unknown, target: object): void {
  const known = stored.get(target) ?? new Map<unknown, unknown>();
  stored.set(target, known.set(key, value));
}

if (!("getMetadata" in Reflect)) Object.assign(Reflect, { getMetadata, getOwnMetadata, defineMetadata });
