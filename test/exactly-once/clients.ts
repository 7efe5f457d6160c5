import type { Client } from './client.ts';
import { eosClient } from './eos-client.ts';
import { smokeClient } from './smoke-client.ts';

/** By the names of Kafka's system tests. */
export const CLIENTS = {
  eos: () => eosClient({ isRepartitioned: false }),
  'eos-repartitioned': () => eosClient({ isRepartitioned: true }),
  smoke: smokeClient,
} as const satisfies Record<string, () => Client>;

export type ClientName = keyof typeof CLIENTS;
