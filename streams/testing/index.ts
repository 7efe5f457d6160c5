/// <reference types="node" preserve="true" />
/**
 * Tests topologies without a log and without waiting.
 *
 * @packageDocumentation
 */
export {
  TopologyTestDriver,
  type OutputRecord,
  type TestDriverOptions,
  type TestInputTopic,
  type TestOutputTopic,
  type TestRecord,
} from './topology-test-driver.ts';
