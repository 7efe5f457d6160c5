/// <reference types="node" preserve="true" />
/**
 * Jobs: source -> topology -> sink as one program, exactly once.
 *
 * @packageDocumentation
 */
export {
  defineJob,
  type BuildTopology,
  type CopyDefinition,
  type Job,
  type JobDefinition,
  type JobSettings,
  type JobSink,
  type JobSinks,
  type JobSource,
  type JobSources,
} from './define-job.ts';
export { describeJob, jobTopologies, type JobTopology } from './topologies.ts';
export type { JobSummary, SourceResult } from './job-run.ts';
export type { MetricsOptions } from './metrics-server.ts';
export { makeJob } from './file/job-file.ts';
export { runJob } from './run-job.ts';
export { runScheduled, type RunScheduledOptions, type ScheduledRun } from './run-scheduled.ts';
export { SCHEDULE_DEFAULTS, type JobSchedule } from './schedule.ts';
export { JOB_DEFAULTS, type RunJobOptions } from './run-options.ts';
export { progressDisplay, type ProgressDisplay, type ProgressOutput } from './display.ts';
export type { JobProgress, StageProgress } from './progress.ts';
