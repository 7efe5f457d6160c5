import type {
  BrokerApi,
  BrokerRequests,
  RequestName,
  RequestOf,
  ResponseOf,
} from './broker-api.ts';

const IS_REQUEST: { readonly [Name in keyof BrokerRequests]: true } = {
  metadata: true,
  produce: true,
  fetch: true,
  listOffsets: true,
  deleteRecords: true,
  initProducerId: true,
  addPartitionsToTxn: true,
  addOffsetsToTxn: true,
  txnOffsetCommit: true,
  endTxn: true,
  listTransactions: true,
  describeTransactions: true,
  describeProducers: true,
  writeTxnMarkers: true,
  joinGroup: true,
  syncGroup: true,
  heartbeat: true,
  leaveGroup: true,
  offsetCommit: true,
  offsetFetch: true,
  listGroups: true,
  describeGroups: true,
  deleteGroups: true,
  offsetDelete: true,
  createTopics: true,
  createPartitions: true,
  deleteTopics: true,
  describeConfigs: true,
  incrementalAlterConfigs: true,
  describeLogDirs: true,
};

/** The names of all requests. */
export const REQUEST_NAMES = Object.keys(IS_REQUEST) as readonly RequestName[];

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
