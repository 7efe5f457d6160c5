/// <reference types="node" preserve="true" />
/**
 * Kafka Connect's REST API for a worker: `serveConnect`.
 *
 * @packageDocumentation
 */
export {
  SERVE_CONNECT_DEFAULTS,
  serveConnect,
  type ConnectServer,
  type ServeConnectOptions,
} from './serve-connect.ts';
export { LEVELS, Loggers, type Level, type LoggerLevel } from './loggers.ts';
export { toProperties } from './flat-config.ts';
