import {
  ConnectError,
  type ConnectorStatus,
  type ConnectWorker,
  type Properties,
} from '../../connect/index.ts';
import { LogError } from '../../core/index.ts';
import type { Exclusive } from '../../core/internal.ts';
import { badBody, objectBody } from '../http/json-body.ts';
import { refusal } from '../http/route.ts';
import { readFlat, type FlatConfig } from './flat-config.ts';
import type { FlatIssue } from './flat-reading.ts';
import { textOf } from './flat-values.ts';
import type { Loggers } from './loggers.ts';

/** What the routes work on. */
export interface ConnectContext {
  readonly worker: ConnectWorker;
  /** Below these may paths of configs lead. */
  readonly allowedRoots: readonly string[];
  readonly loggers: Loggers;
  /** Of Millrace. */
  readonly version: string;
  /** What reads a config and writes it happens one after the other. */
  readonly changes: Exclusive;
}

/** A connector. @throws LogError REQUEST_REFUSED 404 with `message`, as Kafka Connect words it. */
export function findConnector(
  { worker }: ConnectContext,
  name: string,
  message: string,
): ConnectorStatus {
  try {
    return worker.status(name);
  } catch (cause) {
    if (ConnectError.is(cause, 'UNKNOWN_CONNECTOR')) throw refusal(404, message, cause);
    throw cause;
  }
}

/** `Connector orders not found` */
export function notFound(name: string): string {
  return `Connector ${name} not found`;
}

/** A config as a caller sent it. */
export interface GivenConfig {
  readonly properties: Properties;
  /** What is set to null: a patch removes it, and otherwise it is a mistake. */
  readonly nulls: readonly string[];
}

/** Reads a config; numbers and booleans become texts, and so do nested values, as JSON. */
export function configBody(body: unknown): GivenConfig {
  const entries = Object.entries(objectBody(body));
  const properties = entries.filter(([, value]) => value !== null);
  return {
    properties: Object.fromEntries(properties.map(([key, value]) => [key, flatText(value)])),
    nulls: entries.filter(([, value]) => value === null).map(([key]) => key),
  };
}

function flatText(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : textOf(value);
}

/** A config that was read, and all that is wrong with it. */
export interface CheckedConfig {
  readonly flat: FlatConfig;
  readonly issues: readonly FlatIssue[];
}

/**
 * Finds all mistakes in a config.
 *
 * @throws LogError REQUEST_REFUSED, with Kafka Connect's status, if it names no connector.
 */
export async function checkConfig(
  { worker, allowedRoots }: ConnectContext,
  name: string,
  { properties, nulls }: GivenConfig,
): Promise<CheckedConfig> {
  const type = properties['connector.class'];
  if (type === undefined) {
    throw refusal(400, `the config of ${name} contains no connector type: connector.class`);
  }
  // The others are checked even if the name is missing.
  const flat = readFlat(name === '' ? 'unnamed' : name, properties, worker.plugins);
  if (flat.plugin === undefined) throw unknownClass(type, worker);
  const found = await worker.validate(flat.definition, { allowedRoots });
  const issues = [
    ...(name === '' ? [{ key: 'name', problem: 'it is missing' }] : []),
    ...nulls.map((key) => ({ key, problem: 'null is no value of a configuration' })),
    ...flat.issues,
    ...found.map(({ field, problem }) => ({ key: flat.keyOf(field), problem })),
  ];
  return { flat, issues };
}

/** The failure that lists the mistakes of a config, as Kafka Connect does. */
export function invalid(issues: readonly FlatIssue[]): LogError {
  const lines = issues.map(({ key, problem }) => `${key}: ${problem}`);
  const first =
    `Connector configuration is invalid and contains the following ${issues.length} ` + 'error(s):';
  const last =
    'You can also find the above list of errors at the endpoint ' +
    '`/connector-plugins/{connectorType}/config/validate`';
  return refusal(400, [first, ...lines, last].join('\n'));
}

function unknownClass(type: string, { plugins }: ConnectWorker): Error {
  const names = plugins
    .list()
    .filter(({ kind }) => kind === 'source' || kind === 'sink')
    .map((plugin) => plugin.name);
  const message =
    'Failed to find any class that implements Connector and which name matches ' +
    `${type}, available connectors are: ${names.join(', ')}`;
  return refusal(400, message);
}

/** A field of a body that is text, or absent. */
export function textField(body: Readonly<Record<string, unknown>>, name: string): string {
  const value = body[name] ?? '';
  if (typeof value === 'string') return value;
  throw badBody(`${name} must be a string`);
}

/** What the caller is told about failures of the worker; undefined for those of the service. */
export function refusalOf(error: unknown): LogError | undefined {
  if (ConnectError.is(error, 'CONNECTOR_EXISTS')) {
    return refusal(409, `Connector ${error.details.connector} already exists`, error);
  }
  if (ConnectError.is(error, 'UNKNOWN_CONNECTOR')) {
    return refusal(404, notFound(error.details.connector), error);
  }
  if (ConnectError.is(error, 'INVALID_STATE') && error.details.state === 'not started') {
    return refusal(503, error.message, error);
  }
  if (ConnectError.is(error, 'INVALID_CONFIG') || ConnectError.is(error, 'INVALID_STATE')) {
    return refusal(400, error.message, error);
  }
  if (LogError.is(error, 'INVALID_OPTION')) return refusal(400, error.message, error);
  if (LogError.is(error, 'STOP_TIMEOUT')) return refusal(500, error.message, error);
  // Another worker of this id has the connectors now, as after a rebalance.
  if (LogError.is(error, 'PRODUCER_FENCED')) return refusal(409, error.message, error);
  return undefined;
}
