import type * as HonoPackage from 'hono';
import type { Context, Hono } from 'hono';
import { LogError, type Clock, type Logger } from '../../core/index.ts';
import { asError } from '../../core/internal.ts';
import { callerFault, type CallerOptions } from './callers.ts';
import { readJson } from './json-body.ts';
import { errorBody, refusal, type Answer, type Route } from './route.ts';

/** How a service answers. */
export interface AppOptions extends CallerOptions {
  readonly routes: readonly Route[];
  readonly bodyBytesMax: number;
  readonly clock: Clock;
  /** Gets a line for each request, and the failures that are none of the caller. */
  readonly logger: Logger;
  /** The answer for an error of what the service stands on; undefined if it is a failure. */
  readonly refusalOf: (error: unknown) => LogError | undefined;
}

/** Answers a request. */
export type Handler = (request: Request) => Response | Promise<Response>;

const TAKES_BODY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/** Makes the handler of all requests. */
export async function makeApp(options: AppOptions): Promise<Handler> {
  const { Hono: App } = await loadHono();
  const app = new App({ strict: false });
  for (const route of options.routes) {
    app.on(route.method, honoPath(route.path), (context) => serve(route, context, options));
  }
  for (const [path, methods] of methodsOf(options.routes)) {
    app.all(honoPath(path), ({ req }) => otherMethod(req.method, methods));
  }
  app.notFound(() => respond(failed(refusal(404, 'HTTP 404 Not Found'), options)));
  app.onError((error) => respond(failed(error, options)));
  return (request) => guarded(app, request, options);
}

/** Serves whoever may call; writes a line. */
async function guarded(app: Hono, request: Request, options: AppOptions): Promise<Response> {
  const { clock, logger } = options;
  const startMs = clock.monotonicMs();
  const fault = callerFault(request.headers, options) ?? acceptFault(request.headers);
  const response =
    fault === undefined
      ? await app.fetch(request)
      : respond(failed(typeof fault === 'string' ? refusal(403, fault) : fault, options));
  const tookMs = Math.round(clock.monotonicMs() - startMs);
  const { pathname } = new URL(request.url);
  logger.info(`${request.method} ${pathname}: ${response.status} in ${tookMs} ms`);
  return response;
}

/** All answers are JSON. */
function acceptFault(headers: Headers): LogError | undefined {
  const accept = headers.get('accept') ?? '';
  const isTaken = accept === '' || /(application|\*)\/(json|\*)/.test(accept);
  return isTaken ? undefined : refusal(406, 'HTTP 406 Not Acceptable');
}

async function serve(route: Route, context: Context, options: AppOptions): Promise<Response> {
  const { req } = context;
  const { searchParams, origin } = new URL(req.url);
  const takesBody = TAKES_BODY.has(route.method);
  const body = takesBody ? await readJson(req.raw, options.bodyBytesMax) : undefined;
  const params = req.param() as Readonly<Record<string, string>>;
  return respond(await route.handle({ params, query: searchParams, body, origin }), origin);
}

/** Any path has the methods of its routes, and OPTIONS, which lists them. */
function otherMethod(method: string, methods: readonly string[]): Response {
  const allow = [...methods, 'OPTIONS', ...(methods.includes('GET') ? ['HEAD'] : [])].sort();
  const headers = { allow: allow.join(',') };
  if (method === 'OPTIONS') return new Response(null, { status: 200, headers });
  const message = 'HTTP 405 Method Not Allowed';
  return Response.json(errorBody(405, message), { status: 405, headers });
}

function methodsOf(routes: readonly Route[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const { path, method } of routes) found.set(path, [...(found.get(path) ?? []), method]);
  return found;
}

function honoPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}

/** The answer to a request that failed; what is no fault of the caller is logged, too. */
function failed(error: unknown, { logger, refusalOf }: AppOptions): Answer {
  const known = LogError.is(error, 'REQUEST_REFUSED') ? error : refusalOf(error);
  if (known !== undefined && LogError.is(known, 'REQUEST_REFUSED')) {
    const { status, reason } = known.details;
    return { status, body: errorBody(status, reason) };
  }
  const { message, stack } = asError(error);
  logger.error(`a request has failed: ${stack ?? message}`);
  return { status: 500, body: errorBody(500, message) };
}

function respond({ status, body, location }: Answer, origin = ''): Response {
  const headers = location === undefined ? {} : { location: `${origin}${location}` };
  if (body === undefined) return new Response(null, { status, headers });
  return Response.json(body, { status, headers });
}

/** Loaded on first use. @throws LogError PACKAGE_MISSING */
async function loadHono(): Promise<typeof HonoPackage> {
  return loadPackage<typeof HonoPackage>('hono');
}

/** @throws LogError PACKAGE_MISSING */
export async function loadPackage<Exports>(name: string): Promise<Exports> {
  try {
    return (await import(name)) as Exports;
  } catch (cause) {
    const packages = 'hono @hono/node-server';
    const message =
      `the package ${name} is needed to serve HTTP; install it: ` + `npm install ${packages}`;
    const details = { package: name, purpose: 'serve HTTP' };
    throw new LogError('PACKAGE_MISSING', message, details, { cause });
  }
}
