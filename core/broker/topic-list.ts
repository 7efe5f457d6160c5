import { join } from 'node:path';
import { LogError } from '../errors.ts';
import { replaceFile } from '../storage/atomic-file.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';
import type { TopicConfig } from '../protocol/topic-config.ts';

/**
 * A topic as `topics.json` lists it. Kafka keeps this in its metadata log, which needs a
 * controller.
 */
export interface ListedTopic {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: number;
  readonly config: TopicConfig;
  /** The directories are being removed; the topic is gone. */
  readonly isDeleted?: true;
}

export const TOPIC_LIST_FILE = 'topics.json';
const VERSION = 1;

/** Durable when it resolves. */
export async function writeTopicList(
  fileSystem: FileSystem,
  directory: string,
  topics: readonly ListedTopic[],
): Promise<void> {
  await replaceFile(fileSystem, join(directory, TOPIC_LIST_FILE), encodeTopicList(topics));
}

export function encodeTopicList(topics: readonly ListedTopic[]): Buffer {
  return Buffer.from(`${JSON.stringify({ version: VERSION, topics }, null, 1)}\n`);
}

/**
 * The topics of a data directory; none where there is no list.
 *
 * @throws LogError CORRUPT_FILE for a list that is damaged or of a newer version.
 */
export async function readTopicList(
  fileSystem: Pick<FileSystem, 'readFile' | 'stat'>,
  directory: string,
): Promise<ListedTopic[]> {
  const path = join(directory, TOPIC_LIST_FILE);
  if ((await fileSystem.stat(path)) === undefined) return [];
  const content = await fileSystem.readFile(path).catch((cause: unknown) => {
    throw storageFailure(path, 'read', cause);
  });
  const list = parse(content.toString('utf8'), path);
  if (!isTopicList(list)) throw corruptList(path, `it is not a list of version ${VERSION}`);
  return [...list.topics];
}

interface TopicList {
  readonly version: typeof VERSION;
  readonly topics: readonly ListedTopic[];
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw corruptList(path, cause instanceof Error ? cause.message : String(cause));
  }
}

function isTopicList(list: unknown): list is TopicList {
  const { version, topics } = (list ?? {}) as Partial<Record<keyof TopicList, unknown>>;
  return version === VERSION && Array.isArray(topics) && topics.every(isListedTopic);
}

function isListedTopic(topic: unknown): boolean {
  const { name, topicId, partitions, config } = (topic ?? {}) as Partial<ListedTopic>;
  const isNamed = typeof name === 'string' && typeof topicId === 'string';
  return isNamed && Number.isInteger(partitions) && typeof config === 'object';
}

function corruptList(file: string, reason: string): LogError {
  return new LogError('CORRUPT_FILE', `${file} is damaged: ${reason}`, { file, reason });
}
