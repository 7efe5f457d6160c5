import { describe, expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { readTopic, readValues } from '../../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { silentLogger, type Logger } from '../../logger.ts';
import { string } from '../../serde/text.ts';
import { openLog } from '../open-log.ts';
import type { ProducerInterceptor } from './producer-interceptor.ts';
import { topic } from '../topic.ts';

const letters = topic('letters', { key: string(), value: string(), partitions: 1 });

/** A log, and what it said. */
async function open() {
  const said: string[] = [];
  const note = (message: string) => void said.push(message);
  const logger: Logger = { ...silentLogger, warn: note, error: note };
  return { log: await openLog(temporaryDirectory(), { logger }), said };
}

/** Appends `mark` to each value, and notes what became of the records. */
function marker(mark: string, heard: string[] = []): ProducerInterceptor {
  return {
    onSend: (_, record) => ({ ...record, value: `${String(record.value)}${mark}` }),
    onAcknowledgement: ({ partition, offset }, error) => {
      const code = error === null ? 'ok' : (error as unknown as { code: string }).code;
      heard.push(`${mark} ${partition}:${offset} ${code}`);
    },
  };
}

const failing: ProducerInterceptor = {
  onSend: () => {
    throw new TypeError('no record is good enough');
  },
  onAcknowledgement: () => {
    throw new TypeError('no answer is good enough');
  },
};

describe('interceptors', () => {
  test('[PRODUCER-15] change records one after the other, whichever way they go in', async () => {
    const { log: opened } = await open();
    await using log = opened;
    const heard: string[] = [];
    const interceptors = [marker('!', heard), marker('?', heard)];
    await using producer = log.producer({ interceptors, transactionalId: 't' });
    await producer.send(letters, { value: 'send' });
    await producer.sendAll(letters, [{ value: 'all' }]);
    (await producer.writer(letters)).write(null, 'writer', 7, [{ key: 'h', value: null }]);
    await producer.flush();
    await producer.transaction((tx) => tx.send(letters, { value: 'tx' }));
    const values = ['send!?', 'all!?', 'writer!?', 'tx!?'];
    const read = await readTopic(log, letters);
    expect(read.map(({ value }) => value)).toEqual(values);
    expect(read[2]).toMatchObject({ timestampMs: 7, headers: [{ key: 'h', value: null }] });
    expect(heard).toEqual(values.flatMap((_, at) => [`! 0:${at} ok`, `? 0:${at} ok`]));
  });

  test('[PRODUCER-15] are told of each failure once, before the sender', async () => {
    const { log: opened } = await open();
    await using log = opened;
    const heard: string[] = [];
    await using producer = log.producer({ interceptors: [marker('!', heard)] });
    await producer.writer(letters);
    const sends = [
      { value: 'far', timestampMs: 2 ** 45 },
      { value: 'nowhere', partition: 7 },
    ].map((record) =>
      codeOf(producer.send(letters, record)).then((code) => heard.push(`sender ${code}`)),
    );
    await Promise.all(sends);
    expect(heard.sort()).toEqual([
      '! 0:-1 INVALID_TIMESTAMP',
      '! 7:-1 INVALID_PARTITIONS',
      'sender INVALID_PARTITIONS',
      'sender INVALID_TIMESTAMP',
    ]);
  });

  test('[PRODUCER-15] one that throws is logged, and hinders nobody', async () => {
    const { log: opened, said } = await open();
    await using log = opened;
    const heard: string[] = [];
    const interceptors = [marker('a', heard), failing, {}, marker('b', heard)];
    await using producer = log.producer({ interceptors });
    expect((await producer.send(letters, { value: '-' })).offset).toBe(0);
    expect(await readValues(log, letters)).toEqual(['-ab']);
    expect(heard).toEqual(['a 0:0 ok', 'b 0:0 ok']);
    expect(said).toEqual([
      'onSend of an interceptor threw for letters: TypeError: no record is good enough',
      'onAcknowledgement of an interceptor threw for letters: TypeError: no answer is good enough',
    ]);
  });
});

describe('callbacks', () => {
  test('[PRODUCER-16] are called once, later, with what became of the record', async () => {
    const { log: opened } = await open();
    await using log = opened;
    await using producer = log.producer();
    const heard: unknown[] = [];
    const send = (value: string, timestampMs = 0) => {
      const done = (error: Error | null, metadata: unknown) =>
        void heard.push(error === null ? metadata : (error as unknown as { code: string }).code);
      producer.send(letters, { value, timestampMs }, done);
    };
    send('a');
    send('b', 2 ** 53); // refused before it is sent, when the topic is looked up
    await producer.flush();
    send('c', 2 ** 53); // and at once
    send('d');
    expect(heard).toHaveLength(2);
    await producer.flush();
    const place = { topic: 'letters', partition: 0 };
    expect(heard).toEqual([
      'INVALID_TIMESTAMP',
      { ...place, offset: 0 },
      'INVALID_TIMESTAMP',
      { ...place, offset: 1 },
    ]);
    await producer.close();
    send('e');
    await new Promise((resolve) => setImmediate(resolve));
    expect(heard.at(-1)).toBe('CLOSED');
  });

  test('[PRODUCER-16] one that throws is logged; the others are called all the same', async () => {
    const { log: opened, said } = await open();
    await using log = opened;
    await using producer = log.producer();
    let offset = -1;
    for (const value of ['a', 'b']) {
      producer.send(letters, { value }, (_, metadata) => {
        offset = metadata?.offset ?? -1;
        if (value === 'a') throw new RangeError('not this one');
      });
    }
    await producer.flush();
    expect(offset).toBe(1);
    expect(said).toEqual(['the callback of a send to letters threw: RangeError: not this one']);
  });
});
