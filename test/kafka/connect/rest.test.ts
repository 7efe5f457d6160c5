import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KafkaBroker } from '../broker.ts';
import { keptDirectory } from '../kept-directory.ts';
import { answersOf, shapesOf } from './rest-answers.ts';
import type { Side } from './rest-steps.ts';
import { KafkaConnectWorker } from './worker.ts';

const directory = keptDirectory();
let broker: KafkaBroker;
let worker: KafkaConnectWorker | undefined;

beforeAll(async () => {
  broker = await KafkaBroker.format(join(directory, 'broker'));
  await broker.start();
  worker = await KafkaConnectWorker.start(join(directory, 'worker'), broker.bootstrap);
}, 240_000);

afterAll(async () => {
  await worker?.stop();
  await broker.stop('SIGKILL');
});

/** Kafka's own connectors of files. */
function kafkasSide(): Side {
  const input = join(directory, 'in.txt');
  writeFileSync(input, 'one\ntwo\n');
  const common = { 'tasks.max': '1' };
  return {
    source: {
      ...{ ...common, file: input, topic: 'lines' },
      'connector.class': 'org.apache.kafka.connect.file.FileStreamSourceConnector',
      'topic.creation.default.partitions': '1',
      'topic.creation.default.replication.factor': '1',
    },
    sink: {
      ...{ ...common, file: join(directory, 'out.txt'), topics: 'lines' },
      'connector.class': 'org.apache.kafka.connect.file.FileStreamSinkConnector',
    },
    required: 'topic',
    partition: { filename: input },
    offset: { position: 4 },
  };
}

test('[CONNECT-KAFKA-3] the recorded answers are those of Kafka Connect', async () => {
  const answers = shapesOf(await answersOf(worker!.url, kafkasSide()));
  const text = `${JSON.stringify(answers, null, 1)}\n`;
  await expect(text).toMatchFileSnapshot('rest-answers.golden.txt');
}, 240_000);
