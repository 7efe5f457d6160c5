import type {
  BrokerApi,
  InitProducerIdRequest,
  ProducerIdentity,
} from '../../protocol/broker-api.ts';

/** Who a producer is for the broker: id and epoch, asked for when they are first needed. */
export class ProducerSession {
  readonly #api: BrokerApi;
  readonly #request: InitProducerIdRequest;
  /** Set by the broker's answer, and anew at each end of a transaction. */
  identity: ProducerIdentity | undefined;
  #beginning: Promise<void> | undefined;

  constructor(api: BrokerApi, request: InitProducerIdRequest) {
    this.#api = api;
    this.#request = request;
  }

  /** Resolves when there is an identity; many may ask at the same time. */
  async ensure(): Promise<void> {
    if (this.identity !== undefined) return;
    this.#beginning ??= this.renew().finally(() => {
      this.#beginning = undefined;
    });
    await this.#beginning;
  }

  /** Takes another identity, with which all sequences start at 0. Fences those before it. */
  async renew(): Promise<void> {
    this.identity = await this.#api.initProducerId(this.#request);
  }
}
