import { json, string, topic, type Log, type Topic } from '../core/index.ts';

/** What is kept of the runs of a job with a schedule. */
export interface ScheduleRecord {
  /** When the last run that came to its end began, or the schedule itself, before its first run. */
  readonly lastMs: number;
}

/** The topic of the runs of jobs with schedules, by the job's name. */
const jobSchedules: Topic<string, ScheduleRecord> = topic('job-schedules', {
  key: string(),
  value: json<ScheduleRecord>(),
  partitions: 1,
  config: { cleanupPolicy: 'compact' },
});

const POLL_MS = 100;

/** Notes a run, durably. */
export async function noteRun(log: Log, job: string, lastMs: number): Promise<void> {
  const producer = log.producer();
  try {
    await producer.send(jobSchedules, { key: job, value: { lastMs } });
  } finally {
    await producer.close();
  }
}

/** When the last run of a job began; undefined if none is known. */
export async function lastRunMs(log: Log, job: string): Promise<number | undefined> {
  await log.admin().ensureTopic(jobSchedules);
  const [range] = await log.admin().offsets(jobSchedules.name);
  const end = range?.latest ?? 0;
  const place = { topic: jobSchedules.name, partition: 0 };
  await using consumer = log.consumer();
  const reader = await consumer.assign([{ topic: jobSchedules, partition: 0 }]);
  let lastMs: number | undefined;
  while ((reader.position(place) ?? end) < end) {
    for (const { key, value } of await reader.poll({ maxWaitMs: POLL_MS })) {
      if (key === job) lastMs = value?.lastMs;
    }
  }
  return lastMs;
}
