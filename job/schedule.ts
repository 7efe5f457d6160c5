import { Cron } from 'croner';
import { LogError } from '../core/index.ts';
import { asError, checkOptions, oneOf, show, text, type OptionChecks } from '../core/internal.ts';

/** When a job runs. */
export interface JobSchedule {
  /**
   * A cron expression: minute, hour, day of the month, month, day of the week, such as `0 * * * *`
   * for every hour; with seconds before them if it has six parts.
   */
  readonly cron: string;
  /** Whose clocks it means, such as `Europe/Berlin`. Default: `UTC`. */
  readonly timeZone?: string;
  /**
   * What becomes of times at which nothing could run, because no process was there or the run was
   * cut off: `run-once` runs once, at the next start, for all of them. Default: `skip`.
   */
  readonly missed?: 'skip' | 'run-once';
}

/** The defaults of `JobSchedule`. */
export const SCHEDULE_DEFAULTS = {
  timeZone: 'UTC',
  missed: 'skip',
} as const satisfies Partial<JobSchedule>;

const CHECKS: OptionChecks<JobSchedule> = {
  cron: text,
  timeZone: (value) => (isTimeZone(value) ? undefined : 'a time zone, such as Europe/Berlin'),
  missed: oneOf('skip', 'run-once'),
};

/** A checked schedule. @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
export function checkedSchedule(given: string | JobSchedule): Required<JobSchedule> {
  const options = typeof given === 'string' ? { cron: given } : given;
  checkOptions('defineJob.schedule', options, CHECKS, ['cron']);
  const { cron, timeZone, missed } = { ...SCHEDULE_DEFAULTS, ...options };
  const schedule = { cron, timeZone, missed };
  try {
    expression(schedule);
  } catch (cause) {
    throw invalidCron(cron, asError(cause).message, cause);
  }
  return schedule;
}

/**
 * The first time after another one, in milliseconds since 1970.
 *
 * @throws LogError INVALID_OPTION if there is none: its days are in no calendar.
 */
export function nextTimeMs(schedule: Required<JobSchedule>, afterMs: number): number {
  const next = expression(schedule).nextRun(new Date(afterMs));
  if (next === null) throw invalidCron(schedule.cron, 'no time follows that it means');
  return next.getTime();
}

function expression({ cron, timeZone }: Required<JobSchedule>): Cron {
  return new Cron(cron, { timezone: timeZone, paused: true });
}

function invalidCron(cron: string, reason: string, cause?: unknown): LogError {
  const allowed = 'a cron expression of five parts, or six with seconds, such as "0 * * * *"';
  const value = show(cron);
  const message = `defineJob.schedule: cron must be ${allowed}, not ${value}: ${reason}`;
  const options = cause === undefined ? undefined : { cause };
  return new LogError('INVALID_OPTION', message, { option: 'cron', value, allowed }, options);
}

function isTimeZone(value: unknown): boolean {
  if (text(value) !== undefined) return false;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: value as string }).format(0) !== '';
  } catch {
    return false;
  }
}
