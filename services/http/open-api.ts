import type { JsonSchema, Route } from './route.ts';

/** What an OpenAPI document tells besides its routes. */
export interface OpenApiOptions {
  readonly title: string;
  readonly description: string;
  readonly version: string;
  readonly routes: readonly Route[];
  /** The schemas that routes refer to by `reference`. */
  readonly schemas: Readonly<Record<string, JsonSchema>>;
}

/** The schema of that name. */
export function reference(name: string): JsonSchema {
  return { $ref: `#/components/schemas/${name}` };
}

const ERROR = {
  type: 'object',
  required: ['error_code', 'message'],
  properties: { error_code: { type: 'integer' }, message: { type: 'string' } },
};

/** The OpenAPI document of a service: version 3.1, all paths with their parameters and answers. */
export function openApiDocument(options: OpenApiOptions): object {
  const { title, description, version, routes, schemas } = options;
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = (paths[route.path] ??= {});
    path[route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: '3.1.0',
    info: { title, description, version },
    paths,
    components: { schemas: { ...schemas, Error: ERROR } },
  };
}

function operation({ method, path, summary, query = {}, takes, answers }: Route): object {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  const inPath = names.map((name) => ({
    ...{ name, in: 'path', required: true, schema: { type: 'string' } },
  }));
  const inQuery = Object.entries(query).map(([name, description]) => ({
    ...{ name, in: 'query', required: false, description, schema: { type: 'string' } },
  }));
  const responses = Object.entries(answers).map(([status, { means, schema }]) => {
    const content = schema && { content: { 'application/json': { schema } } };
    return [status, { description: means, ...content }] as const;
  });
  const error = { 'application/json': { schema: reference('Error') } };
  return {
    operationId: operationId(method, path),
    summary,
    parameters: [...inPath, ...inQuery],
    ...(takes && {
      requestBody: { required: true, content: { 'application/json': { schema: takes } } },
    }),
    responses: {
      ...Object.fromEntries(responses),
      default: { description: 'An error.', content: error },
    },
  };
}

/** `getConnectorsByConnectorStatus` */
function operationId(method: string, path: string): string {
  const words = path.split('/').flatMap((part) => {
    if (part === '') return [];
    const [, name] = /^\{(\w+)\}$/.exec(part) ?? [];
    return (name === undefined ? part : `by-${name}`).split(/[-.]/);
  });
  const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);
  return method.toLowerCase() + (words.length === 0 ? 'Root' : words.map(capital).join(''));
}
