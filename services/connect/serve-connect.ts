import type { ConnectWorker } from '../../connect/index.ts';
import { stderrLogger, systemClock, type Clock } from '../../core/index.ts';
import {
  checkOptions,
  Exclusive,
  instance,
  integer,
  listOf,
  text,
  type OptionChecks,
} from '../../core/internal.ts';
import { makeApp } from '../http/app.ts';
import { listen } from '../http/listener.ts';
import { openApiDocument } from '../http/open-api.ts';
import { packageVersion } from '../http/package-version.ts';
import type { Route } from '../http/route.ts';
import { adminRoutes } from './admin-routes.ts';
import { connectorRoutes } from './connector-routes.ts';
import { refusalOf, type ConnectContext } from './context.ts';
import { controlRoutes } from './control-routes.ts';
import { Loggers } from './loggers.ts';
import { offsetRoutes } from './offset-routes.ts';
import { pluginRoutes } from './plugin-routes.ts';
import { SCHEMAS } from './schemas.ts';

/** How the REST service of connectors is served. */
export interface ServeConnectOptions {
  /** The address; default 127.0.0.1, which only this machine reaches. */
  readonly host?: string;
  /** Default 8083, as Kafka Connect; 0 for any free one. */
  readonly port?: number;
  /**
   * Below these directories may the paths in configs lead that come by REST, and those of
   * `${file:path:key}`; links are followed. Default: none, so that such configs are refused.
   */
  readonly allowedRoots?: readonly string[];
  /** Names besides its address by which browsers and proxies may call it. Default: none. */
  readonly allowedHosts?: readonly string[];
  /** The largest body that it takes, in bytes; default 1 MiB. */
  readonly bodyBytesMax?: number;
  /** How long `close` waits for requests that are being answered; default 5 s. */
  readonly stopTimeoutMs?: number;
  /** What `/admin/loggers` shows and changes. Default: warnings and errors to stderr. */
  readonly loggers?: Loggers;
  /** Default: the machine's. */
  readonly clock?: Clock;
}

/** The defaults of `ServeConnectOptions`. */
export const SERVE_CONNECT_DEFAULTS = {
  host: '127.0.0.1',
  // Configs are some kilobytes.
  bodyBytesMax: 1024 * 1024,
  // As long as a worker waits for its connectors.
  stopTimeoutMs: 5_000,
} as const satisfies ServeConnectOptions;

/** Kafka Connect's. */
const PORT = 8083;

/** A REST service that runs. */
export interface ConnectServer extends AsyncDisposable {
  /** Where it is reached: `http://127.0.0.1:8083`. */
  readonly url: string;
  readonly port: number;
  /** Ends the service, not the worker. Resolves when all requests are answered, or cut off. */
  close(): Promise<void>;
}

const CHECKS: OptionChecks<ServeConnectOptions> = {
  host: text,
  port: integer(0, 65_535),
  allowedRoots: listOf('directories'),
  allowedHosts: listOf('names'),
  bodyBytesMax: integer(1),
  stopTimeoutMs: integer(0),
  loggers: instance,
  clock: instance,
};

/**
 * Serves a worker by Kafka Connect's REST API: the same paths, bodies and errors, and an OpenAPI
 * document at `/openapi.json`. There are no passwords: whoever reaches it runs connectors with the
 * rights of this process, and may name the variables of its environment. By default that is this
 * machine alone, and no page of another site in a browser.
 *
 * Needs the packages `hono` and `@hono/node-server`.
 *
 * @example
 * await using server = await serveConnect(worker, { allowedRoots: ['/var/data'] });
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION, PACKAGE_MISSING, and SERVICE_UNAVAILABLE if the
 *   port is taken: nothing is served.
 */
export async function serveConnect(
  worker: ConnectWorker,
  options: ServeConnectOptions = {},
): Promise<ConnectServer> {
  checkOptions('serveConnect', options, CHECKS);
  const { clock = systemClock, allowedRoots = [], allowedHosts = [] } = options;
  const loggers = options.loggers ?? new Loggers(stderrLogger, { clock });
  const settings = { ...SERVE_CONNECT_DEFAULTS, ...options };
  const { host, port = PORT, bodyBytesMax, stopTimeoutMs } = settings;
  const version = packageVersion();
  const changes = new Exclusive();
  const context: ConnectContext = { worker, allowedRoots, loggers, version, changes };
  const handler = await makeApp({
    routes: connectRoutes(context),
    ...{ host, bodyBytesMax, clock, refusalOf },
    allowedHosts: allowedHosts.map((name) => name.toLowerCase()),
    logger: loggers.logger('connect.rest'),
  });
  const service = 'the REST service of connectors';
  const listener = await listen(handler, { service, host, port, stopTimeoutMs, clock });
  return { ...listener, [Symbol.asyncDispose]: () => listener.close() };
}

/** All endpoints, the document of all the others last. */
function connectRoutes(context: ConnectContext): Route[] {
  const routes = [
    ...adminRoutes(context),
    ...connectorRoutes(context),
    ...controlRoutes(context),
    ...offsetRoutes(context),
    ...pluginRoutes(context),
  ];
  const document = connectDocument(routes, context.version);
  return [
    ...routes,
    {
      method: 'GET',
      path: '/openapi.json',
      summary: 'This document.',
      answers: { 200: { means: 'The document.' } },
      handle: () => ({ status: 200, body: document }),
    },
  ];
}

function connectDocument(routes: readonly Route[], version: string): object {
  return openApiDocument({
    title: 'Connectors of Millrace',
    description: "Kafka Connect's REST API for a worker of Millrace.",
    ...{ version, routes, schemas: SCHEMAS },
  });
}
