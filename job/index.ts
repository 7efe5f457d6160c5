/// <reference types="node" preserve="true" />
/**
 * Jobs: source -> topology -> sink as one program, exactly once.
 *
 * @packageDocumentation
 */
export {
  defineJob,
  describeJob,
  type Job,
  type JobDefinition,
  type JobSink,
  type JobSource,
} from './define-job.ts';
export type { JobSummary, SourceResult } from './job-run.ts';
export type { MetricsOptions } from './metrics-server.ts';
export { runJob } from './run-job.ts';
export { JOB_DEFAULTS, type RunJobOptions } from './run-options.ts';
export { progressDisplay, type ProgressDisplay, type ProgressOutput } from './display.ts';
export type { JobProgress, StageProgress } from './progress.ts';
