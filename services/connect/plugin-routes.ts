import { configBody, checkConfig, type ConnectContext } from './context.ts';
import { reference } from '../http/open-api.ts';
import { refusal, type Call, type Route } from '../http/route.ts';
import { pluginConfigView, pluginViews, validationView } from './config-views.ts';

const PATH = '/connector-plugins';

/** What connectors can be made of. */
export function pluginRoutes(context: ConnectContext): Route[] {
  const { worker, version } = context;
  return [
    {
      method: 'GET',
      path: PATH,
      summary: 'Lists the plugins.',
      query: { connectorsOnly: 'false: transforms and predicates, too. Default: true.' },
      answers: { 200: { means: 'The plugins.', schema: reference('Plugins') } },
      handle: ({ query }) => {
        const all = pluginViews(worker.plugins, version);
        const isAll = /^false$/i.test(query.get('connectorsOnly') ?? '');
        const body = isAll ? all : all.filter(({ type }) => type === 'source' || type === 'sink');
        return { status: 200, body };
      },
    },
    {
      method: 'GET',
      path: `${PATH}/{plugin}/config`,
      summary: 'What the config of a plugin may say.',
      query: { version: 'Without effect: there is one version of each.' },
      answers: { 200: { means: 'The fields.', schema: reference('ConfigKeys') } },
      handle: ({ params: { plugin = '' } }) => {
        const found = worker.plugins.list().find(({ name }) => name === plugin);
        if (found === undefined) throw refusal(404, `Unknown plugin ${plugin}.`);
        return { status: 200, body: pluginConfigView(found) };
      },
    },
    {
      method: 'PUT',
      path: `${PATH}/{plugin}/config/validate`,
      summary: 'Finds all mistakes in a config; creates nothing.',
      takes: reference('Config'),
      answers: { 200: { means: 'Each field, checked.', schema: reference('ConfigInfos') } },
      handle: async (call) => ({ status: 200, body: await validate(context, call) }),
    },
  ];
}

async function validate(context: ConnectContext, { params, body }: Call): Promise<object> {
  const { plugin = '' } = params;
  const config = configBody(body);
  const { properties } = config;
  const type = properties['connector.class'];
  if (type !== undefined && !bare(type).endsWith(bare(plugin))) {
    const message = `Included connector type ${type} does not match request type ${plugin}`;
    throw refusal(400, message);
  }
  const { flat, issues } = await checkConfig(context, properties['name'] ?? '', config);
  return validationView(flat, properties, issues);
}

/** A class may be named without its last word. */
function bare(name: string): string {
  return name.replace(/(.)Connector$/, '$1');
}
