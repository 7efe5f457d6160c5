import type { ConsumerRecord } from 'millrace';
import type { SinkConnector, SinkOffset } from 'millrace/connect';
import { tickets, type Ticket } from './tickets-source.ts';

/** An outside system that changes all at once: a database would have a transaction here. */
export interface Ledger {
  titles: ReadonlyMap<number, string>;
  offsets: readonly SinkOffset[];
}

/** Keeps the newest title of each ticket. */
export function ledgerSink(ledger: Ledger): SinkConnector {
  return {
    name: 'ledger',
    topics: [tickets],
    delivery: 'transactional',
    async open({ reject }) {
      const titles = new Map(ledger.titles);
      return {
        committedOffsets: ledger.offsets,
        put(records) {
          for (const record of records) {
            try {
              const ticket = ticketOf(record);
              titles.set(ticket.id, ticket.title);
            } catch (error) {
              reject(record, error as Error);
            }
          }
        },
        async commit(offsets) {
          Object.assign(ledger, { titles: new Map(titles), offsets });
        },
        close: async () => undefined,
      };
    },
  };
}

function ticketOf(record: ConsumerRecord): Ticket {
  const ticket = record.value as Ticket | null; // deserialized here: it may throw
  if (ticket === null) throw new TypeError('a ticket cannot be deleted');
  return ticket;
}
