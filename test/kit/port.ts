import { Admin } from '../../core/client/admin/admin.ts';
import type { Log } from '../../core/client/log.ts';
import { LogError } from '../../core/errors.ts';
import type { BrokerApi } from '../../core/protocol/broker-api.ts';
import { brokerBehind, sendTo } from '../../core/protocol/dispatch.ts';

/** The same broker as if behind a message port: requests and responses are cloned. */
export function throughPort(api: BrokerApi): BrokerApi {
  const send = sendTo(api);
  return brokerBehind(async (name, request) => {
    try {
      return structuredClone(await send(name, structuredClone(request)));
    } catch (error) {
      throw LogError.fromData(structuredClone(LogError.toData(error)));
    }
  });
}

/** Administration through a port: its requests and responses are plain data. */
export function adminOf(log: Log): Admin {
  return new Admin(throughPort(log.api));
}
