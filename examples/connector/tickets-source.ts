import { json, string, topic } from 'millrace';
import {
  configSchema,
  field,
  type BadInput,
  type ConfigOf,
  type SourceConnector,
  type SourcePlugin,
  type SourceRecord,
} from 'millrace/connect';

export interface Ticket {
  readonly id: number;
  readonly title: string;
}

export const tickets = topic('tickets', { key: string(), value: json<Ticket>() });

const CONFIG = configSchema({
  url: field.string({ doc: 'The address of the API.' }),
  pageSize: field.integer({ doc: 'How many tickets a call returns.', default: 100, max: 1_000 }),
  token: field.secret({ doc: 'Sent as a bearer token.', optional: true }),
});

/** Reads all tickets of an API, in the order of their ids. */
const ticketsPlugin: SourcePlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'source',
  name: 'tickets-source',
  doc: 'Reads the tickets of an API.',
  config: CONFIG,
  create({ url, pageSize, token }, { name }): SourceConnector {
    const partition = { url };
    const headers = token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` };
    return {
      name,
      topics: [tickets],
      isBounded: true,
      async open({ offset, signal }) {
        let after = Number(offset(partition)?.['after'] ?? 0);
        return [
          {
            async poll() {
              const page = `${url}?after=${after}&limit=${pageSize}`;
              const response = await fetch(page, { headers, signal });
              if (!response.ok) throw new TypeError(`${page} answers ${response.status}`);
              const rows = (await response.json()) as unknown[];
              if (rows.length === 0) return undefined;
              const records: SourceRecord[] = [];
              const bad: BadInput[] = [];
              for (const row of rows) {
                after++;
                if (isTicket(row))
                  records.push({ topic: tickets, key: String(row.id), value: row });
                else bad.push(badRow(row, `${url}, ticket ${after}`));
              }
              return { records, bad, partition, offset: { after } };
            },
            close: async () => undefined,
          },
        ];
      },
    };
  },
};

function isTicket(row: unknown): row is Ticket {
  const { id, title } = (row ?? {}) as Partial<Record<string, unknown>>;
  return typeof id === 'number' && typeof title === 'string';
}

function badRow(row: unknown, place: string): BadInput {
  const raw = Buffer.from(JSON.stringify(row));
  return { stage: 'read', raw, place, position: {}, error: new TypeError(`${place} is no ticket`) };
}

export default ticketsPlugin;
