import { configSchema, field, type ConfigOf } from '../config.ts';
import type { PredicatePlugin } from '../plugin.ts';

const TOPIC_CONFIG = configSchema({
  pattern: field.string({ doc: 'A regular expression that matches the whole name.' }),
});

/** True if the topic's name matches: Kafka Connect's `TopicNameMatches`. */
export const topicNameMatches: PredicatePlugin<ConfigOf<typeof TOPIC_CONFIG>> = {
  kind: 'predicate',
  name: 'TopicNameMatches',
  doc: "True if the name of the record's topic matches.",
  config: TOPIC_CONFIG,
  create({ pattern }) {
    const expression = new RegExp(`^(?:${pattern})$`);
    return ({ topic }) => expression.test(topic);
  },
};

const HEADER_CONFIG = configSchema({ name: field.string({ doc: 'The name of a header.' }) });

/** True if there is such a header: Kafka Connect's `HasHeaderKey`. */
export const hasHeaderKey: PredicatePlugin<ConfigOf<typeof HEADER_CONFIG>> = {
  kind: 'predicate',
  name: 'HasHeaderKey',
  doc: 'True if the record has a header of this name.',
  config: HEADER_CONFIG,
  create({ name }) {
    return ({ headers }) => headers.some(({ key }) => key === name);
  },
};

const NO_CONFIG = configSchema({});

/** True if the value is null: Kafka Connect's `RecordIsTombstone`. */
export const recordIsTombstone: PredicatePlugin = {
  kind: 'predicate',
  name: 'RecordIsTombstone',
  doc: 'True if the value is null.',
  config: NO_CONFIG,
  create() {
    return ({ value }) => value === null;
  },
};
