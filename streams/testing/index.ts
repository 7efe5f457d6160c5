/// <reference types="node" preserve="true" />
/**
 * For tests of topologies: runs one without a log and without waiting.
 *
 * @packageDocumentation
 */
export {
  TopologyTestDriver,
  type OutputRecord,
  type TestInputTopic,
  type TestOutputTopic,
  type TestRecord,
} from './topology-test-driver.ts';
