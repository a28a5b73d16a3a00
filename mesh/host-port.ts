/** Where something listens: "host:port", IPv6 hosts in brackets. Port 0 asks for a free one. */

export type HostPort = { readonly host: string; readonly port: number };

export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]\s]+):(\d{1,5})$/.exec(text);
  const [host, port] = [match?.[1], Number(match?.[2])];
  if (host === undefined || !(port <= 65_535)) return undefined;
  return { host: host.replace(/^\[|\]$/g, ""), port };
}

export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
