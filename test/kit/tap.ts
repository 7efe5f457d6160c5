import type { BrokerApi } from '../../core/protocol/broker-api.ts';

/** Methods that replace a broker's; each may call the real one. */
export type Taps = { readonly [Name in keyof BrokerApi]?: BrokerApi[Name] };

/** The same broker, with some of its methods replaced. */
export function tap(api: BrokerApi, taps: Taps): BrokerApi {
  return new Proxy(api, {
    get(target, name) {
      const replaced = (taps as Record<string | symbol, unknown>)[name];
      if (replaced !== undefined) return replaced;
      const method = (target as unknown as Record<string | symbol, unknown>)[name];
      return typeof method === 'function' ? (method.bind(target) as unknown) : method;
    },
  });
}
