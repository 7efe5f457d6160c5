/// <reference types="node" preserve="true" />
/**
 * Jobs: source -> topology -> sink as one program, exactly once.
 *
 * @packageDocumentation
 */
export { defineJob, type Job, type JobDefinition } from './define-job.ts';
export { runJob, type JobSummary, type RunJobOptions, type SourceResult } from './run-job.ts';
export { progressDisplay, type ProgressDisplay, type ProgressOutput } from './display.ts';
export type { JobProgress, StageProgress } from './progress.ts';
