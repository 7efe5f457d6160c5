import type { Topology } from '../topology/topology.ts';
import type { GlobalTables } from './global-tables.ts';
import type { Task } from './task.ts';

/** What queries know of the application. */
export interface QueriedApp {
  readonly topology: Topology;
  readonly state: () => string;
  /** Those of the current attempt. */
  readonly tasks: () => readonly Task[];
  readonly globalTables: () => GlobalTables | undefined;
  /** Of each store. */
  readonly cacheEntriesMax: number;
}
