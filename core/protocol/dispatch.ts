import type { BrokerApi, RequestName, RequestOf, ResponseOf } from './broker-api.ts';
import { REQUEST_NAMES } from './request-shapes.ts';

/** Brings one request to a broker and its answer back: a message port, a socket, an interceptor. */
export type SendRequest = <Name extends RequestName>(
  name: Name,
  request: RequestOf<Name>,
) => Promise<ResponseOf<Name>>;

/** The broker that `send` reaches. */
export function brokerBehind(send: SendRequest): BrokerApi {
  const methods = REQUEST_NAMES.map((name) => [name, (request: never) => send(name, request)]);
  return Object.fromEntries(methods) as BrokerApi;
}

/** The other end: brings a request that came by its name to the broker. */
export function sendTo(api: BrokerApi): SendRequest {
  return (name, request) => api[name](request);
}
