/**
 * Operations of Kafka Streams' interfaces that no topology has, and why. All others are compared:
 * Traced.java notes which ones the topologies call.
 */
export const LEFT_OUT: Readonly<Record<string, string>> = {
  'GlobalKTable.queryableStoreName()': 'tells a name, and makes nothing of records',
  'KTable.queryableStoreName()': 'tells a name, and makes nothing of records',
};
