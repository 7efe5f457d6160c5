import { openLog } from '../../core/index.ts';
import { configSchema, field, type ConfigOf } from '../config.ts';
import type { SourcePlugin } from '../plugin.ts';
import { mirror } from './mirror.ts';

const CONFIG = configSchema({
  path: field.path({ doc: 'The data directory of the log that is copied; nobody else has it.' }),
  alias: field.string({ doc: 'What that log is called here.' }),
  targetAlias: field.string({ doc: 'What this log is called there.', optional: true }),
  topics: field.list({ doc: 'Names of topics; otherwise all.', optional: true }),
  exclude: field.list({ doc: 'Names of topics that are not copied.', optional: true }),
  policy: field.choice(['default', 'identity'], {
    ...{ doc: 'Whether copies are called <alias>.<topic>, or the same.', default: 'default' },
  }),
  follow: field.boolean({ doc: 'Whether to go on with what comes.', default: true }),
  syncConfigs: field.boolean({ doc: 'Whether copies get the settings.', default: true }),
  groups: field.list({ doc: 'Groups whose offsets are translated.', optional: true }),
  syncGroupOffsets: field.boolean({ doc: 'Whether groups here get them.', default: false }),
});

/** The config of `mirror`. */
export type MirrorConfig = ConfigOf<typeof CONFIG>;

/** `mirror` for config files. */
export const mirrorPlugin: SourcePlugin<MirrorConfig> = {
  kind: 'source',
  name: 'mirror',
  doc: 'Copies topics of another log, with the offsets of its groups.',
  config: CONFIG,
  create(config, { name }) {
    const { path, alias, targetAlias, topics, exclude, groups } = config;
    const { policy, follow, syncConfigs, syncGroupOffsets } = config;
    return mirror({
      ...{ name, from: () => openLog(path), alias, policy, follow, syncConfigs, syncGroupOffsets },
      ...(targetAlias !== undefined && { targetAlias }),
      ...(topics !== undefined && { topics }),
      ...(exclude !== undefined && { exclude }),
      ...(groups !== undefined && { groups }),
    });
  },
};
