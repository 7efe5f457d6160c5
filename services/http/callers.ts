import { isIP } from 'node:net';

/** Who may call a service. */
export interface CallerOptions {
  /** The address that it listens at. */
  readonly host: string;
  /** Names by which it is reached besides, in lower case. */
  readonly allowedHosts: readonly string[];
}

/**
 * Why a request is not served; undefined if it is. A page of another site in somebody's browser can
 * send requests to a service on the same machine: they have that site's `Origin`, or, if the site's
 * name was made to stand for this machine, its name as `Host`. Programs send no `Origin`.
 */
export function callerFault(headers: Headers, options: CallerOptions): string | undefined {
  const called = headers.get('host') ?? '';
  if (called !== '' && isLoopback(options.host) && !isKnown(nameOf(called), options)) {
    return `the service is not called ${called}; allowedHosts can allow that name`;
  }
  const origin = headers.get('origin');
  if (origin === null) return undefined;
  const [, authority = ''] = /^https?:\/\/(.+)$/.exec(origin) ?? [];
  const name = nameOf(authority);
  const isOwn = authority === called && isIP(name) !== 0;
  if (authority !== '' && (isOwn || isKnown(name, options))) return undefined;
  return `pages of ${origin} may not call the service; allowedHosts can allow that name`;
}

/** Names that nobody else can make to stand for this machine. */
function isKnown(name: string, { host, allowedHosts }: CallerOptions): boolean {
  if (name === host.toLowerCase() || allowedHosts.includes(name)) return true;
  return isLoopback(host) && isLoopback(name);
}

/** True for addresses that only this machine reaches. */
function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** A host without its port and brackets. */
function nameOf(authority: string): string {
  const [, bracketed, plain] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d+)?$/.exec(authority) ?? [];
  return (bracketed ?? plain ?? '').toLowerCase();
}
