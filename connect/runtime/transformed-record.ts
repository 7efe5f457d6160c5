import { bytes, ConsumerRecord, NULL_POSITION } from '../../core/index.ts';
import type { ConnectRecord } from '../transform.ts';

/** A record of a sink as transforms see it: key and value are deserialized when one looks. */
export function viewOf(record: ConsumerRecord): ConnectRecord {
  const { topic, partition, offset, timestampMs, headers } = record;
  return {
    ...{ topic, partition, offset, timestampMs, headers },
    // Getters of the object itself, so that `{ ...record, value }` has the key, too.
    get key(): unknown {
      return record.key;
    },
    get value(): unknown {
      return record.value;
    },
  };
}

const BYTES = bytes();
const NO_BYTES = Buffer.alloc(0);

/**
 * A record of a sink behind its transforms. Where it stands in the log, and as which bytes, stays:
 * `origin` is what was read.
 */
export class TransformedRecord extends ConsumerRecord {
  readonly origin: ConsumerRecord;
  readonly #result: ConnectRecord;

  constructor(origin: ConsumerRecord, result: ConnectRecord) {
    const { topic: name, timestampMs = origin.timestampMs, headers } = result;
    const handle = { name, key: BYTES, value: BYTES, partitions: undefined, config: {} };
    const { partition, offset } = origin;
    super(handle, partition, {
      ...{ offset, timestampMs, headers, source: NO_BYTES },
      ...{ keyStart: NULL_POSITION, keyEnd: 0, valueStart: NULL_POSITION, valueEnd: 0 },
    });
    this.origin = origin;
    this.#result = result;
  }

  override get key(): unknown {
    return this.#result.key;
  }

  override get value(): unknown {
    return this.#result.value;
  }

  override get rawKey(): Buffer | null {
    return this.origin.rawKey;
  }

  override get rawValue(): Buffer | null {
    return this.origin.rawValue;
  }
}
