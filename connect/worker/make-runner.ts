import type { Clock, Log, Logger } from '../../core/index.ts';
import { SinkRunner } from '../runtime/sink-runner.ts';
import { SourceRunner } from '../runtime/source-runner.ts';
import type { MadeConnector } from './definition.ts';

/** The runner of a connector, with the settings of its definition; it does not run yet. */
export function makeRunner(
  log: Log,
  { definition, transforms, ...made }: MadeConnector,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): SourceRunner | SinkRunner {
  const { errors, retries = {}, commitIntervalMs, commitRecordsMax } = definition;
  const options = {
    ...{ transforms, retries, clock, logger },
    ...(errors !== undefined && { errors }),
    ...(commitIntervalMs !== undefined && { commitIntervalMs }),
    ...(commitRecordsMax !== undefined && { commitRecordsMax }),
  };
  if (made.kind === 'sink') return new SinkRunner(log, made.connector, options);
  const { transactionBoundary, topicCreation } = definition;
  return new SourceRunner(log, made.connector, {
    ...options,
    ...(transactionBoundary !== undefined && { transactionBoundary }),
    ...(topicCreation !== undefined && { topicCreation }),
  });
}
