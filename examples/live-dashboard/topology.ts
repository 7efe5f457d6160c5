import { bytes, json, string, topic } from 'millrace';
import { minutes, StreamsBuilder, tumblingWindow } from 'millrace/streams';

/** A request that was answered; the key of its record is the path. */
export interface RequestEvent {
  readonly status: number;
}

const partitions = 4;
export const requests = topic('requests', {
  key: string(),
  value: json<RequestEvent>(),
  partitions,
});
/** The same topic for who writes what is no event. */
export const rawRequests = topic('requests', { key: string(), value: bytes(), partitions });

/** The minutes that the page shows: that long the table keeps a window. */
export const SHOWN_MS = minutes(60);

/** Requests by minute and path. */
export function dashboardTopology() {
  const builder = new StreamsBuilder();
  const counts = builder
    .stream(requests, { onError: 'deadLetter' })
    .groupByKey()
    .windowedBy(tumblingWindow({ sizeMs: minutes(1), graceMs: SHOWN_MS }))
    .count({ store: 'requests-by-minute' });
  return { topology: builder.build(), counts };
}
