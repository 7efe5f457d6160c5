import type { BrokerApi } from '../../core/protocol/broker-api.ts';
import { Admin } from '../../core/client/admin/admin.ts';
import type { Log } from '../../core/client/log.ts';

/** The same broker as it shows through a message port: all that comes and goes is cloned. */
export function throughPort(api: BrokerApi): BrokerApi {
  return new Proxy(api, {
    get(target, name) {
      const method = (target as unknown as Record<string | symbol, unknown>)[name];
      if (typeof method !== 'function') return method;
      return async (...args: unknown[]): Promise<unknown> =>
        structuredClone(await (method.apply(target, structuredClone(args)) as unknown));
    },
  });
}

/** Administration through a port: what it asks and gets is plain data. */
export function adminOf(log: Log): Admin {
  return new Admin(throughPort(log.api));
}
