import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { silentLogger } from '../../logger.ts';
import { string } from '../../serde/text.ts';
import { openLog } from '../open-log.ts';
import { topic } from '../topic.ts';
import { logPrometheusText } from './log-metrics.ts';

const letters = topic('letters', { key: string(), value: string(), partitions: 2 });

test('[ADMIN-23] the metrics of a log are in the text format of Prometheus', async () => {
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  const producer = log.producer();
  for (let index = 0; index < 10; index++) {
    await producer.send(letters, { value: String(index), partition: index < 3 ? 0 : 1 });
  }
  await log.admin().deleteRecords([{ topic: 'letters', partition: 1, offset: 2 }]);
  const consumer = log.consumer({ groupId: 'the "readers"' }).subscribe([letters]);
  await consumer.poll();
  await consumer.commit([{ topic: 'letters', partition: 1, offset: 4 }]);
  const text = await logPrometheusText(log);
  await consumer.close();
  expect(text.split('\n').filter((line) => line.startsWith('# TYPE'))).toEqual([
    '# TYPE millrace_log_start_offset gauge',
    '# TYPE millrace_log_end_offset gauge',
    '# TYPE millrace_log_size_bytes gauge',
    '# TYPE millrace_log_group_offset gauge',
    '# TYPE millrace_log_group_lag gauge',
  ]);
  const one = '{topic="letters",partition="1"}';
  expect(text).toContain(`\nmillrace_log_start_offset${one} 2\n`);
  expect(text).toContain(`\nmillrace_log_end_offset${one} 7\n`);
  expect(text).toContain('\nmillrace_log_end_offset{topic="letters",partition="0"} 3\n');
  const group = '{group_id="the \\"readers\\"",topic="letters",partition="1"}';
  expect(text).toContain(`\nmillrace_log_group_offset${group} 4\n`);
  expect(text).toContain(`\nmillrace_log_group_lag${group} 3\n`);
  const size = /\nmillrace_log_size_bytes\{topic="letters",partition="0"\} (\d+)\n/.exec(text);
  expect(Number(size?.[1])).toBeGreaterThan(3 * 60);
});

test('[ADMIN-23] an empty log has no values', async () => {
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  const text = await logPrometheusText(log);
  expect(text.split('\n').filter((line) => !line.startsWith('#'))).toEqual(['']);
});
