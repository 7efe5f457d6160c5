import { configSchema, field, withChecks, type ConfigOf, type ConfigValues } from '../config.ts';
import type { SinkPlugin, SourcePlugin } from '../plugin.ts';
import { defined } from '../plugin-fields.ts';
import {
  sinkOptions,
  sourceOptions,
  SQL_SINK_FIELDS,
  SQL_SINK_ISSUES,
  SQL_SOURCE_FIELDS,
  SQL_SOURCE_ISSUES,
} from '../sql/sql-plugin-config.ts';
import type { PostgresConnection } from './postgres-options.ts';
import { postgresSink } from './postgres-sink.ts';
import { postgresSource } from './postgres-source.ts';

const POSTGRES = {
  host: field.string({ doc: 'The name or address of the server.', default: 'localhost' }),
  port: field.integer({ doc: 'Its port.', default: 5_432, min: 1, max: 65_535 }),
  database: field.string({ doc: 'The database.' }),
  user: field.string({ doc: 'Who connects.' }),
  password: field.secret({ doc: 'How they prove it. It is printed nowhere.', optional: true }),
  ssl: field.boolean({ doc: 'Whether to encrypt, and check the certificate.', default: false }),
  sslCa: field.secret({
    doc: 'The certificate of who signs those of the server, as PEM; else the public ones.',
    optional: true,
  }),
} as const;

const SINK_CONFIG = withChecks(configSchema({ ...POSTGRES, ...SQL_SINK_FIELDS }), SQL_SINK_ISSUES);
const SOURCE_CONFIG = withChecks(
  configSchema({ ...POSTGRES, ...SQL_SOURCE_FIELDS }),
  SQL_SOURCE_ISSUES,
);

/** The config of `postgres-sink`. */
export type PostgresSinkConfig = ConfigOf<typeof SINK_CONFIG>;
/** The config of `postgres-source`. */
export type PostgresSourceConfig = ConfigOf<typeof SOURCE_CONFIG>;

function connectionOf(config: ConfigValues<typeof POSTGRES>): PostgresConnection {
  const { host, port, database, user, password, ssl, sslCa } = config;
  const tls = ssl && sslCa !== undefined ? { ca: sslCa.reveal() } : ssl;
  return { host, port, database, user, ssl: tls, ...defined({ password }) };
}

/** `postgres-sink` for config files: `postgresSink`. */
export const postgresSinkPlugin: SinkPlugin<PostgresSinkConfig> = {
  kind: 'sink',
  name: 'postgres-sink',
  doc: 'Writes a topic to a table of PostgreSQL.',
  config: SINK_CONFIG,
  takesConverters: true,
  create(config, context) {
    const connection = connectionOf(config);
    return postgresSink({ ...sinkOptions(config, context), connection } as never);
  },
};

/** `postgres-source` for config files: `postgresSource`. */
export const postgresSourcePlugin: SourcePlugin<PostgresSourceConfig> = {
  kind: 'source',
  name: 'postgres-source',
  doc: 'Reads a table of PostgreSQL, or a query, into a topic.',
  config: SOURCE_CONFIG,
  takesConverters: true,
  create(config, context) {
    return postgresSource({ ...sourceOptions(config, context), connection: connectionOf(config) });
  },
};
