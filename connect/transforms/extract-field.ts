import { configSchema, field, issuesOf, type ConfigOf } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';
import { changeFields, TARGET, valueAt } from './record-part.ts';

const CONFIG = configSchema(
  {
    field: field.string({ doc: 'The field, or a path such as user.id.' }),
    fieldSyntaxVersion: field.choice(['V1', 'V2'], {
      doc: 'V1: a dot is part of the name. V2: it leads inside, but not between backticks.',
      default: 'V2',
    }),
    ...TARGET,
  },
  ({ field: path, fieldSyntaxVersion }) =>
    fieldSyntaxVersion === 'V1' ? [] : issuesOf('field', () => stepsOf(path)),
);

/** Replaces key or value by one of its fields: Kafka Connect's `ExtractField`. */
export const extractField: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'ExtractField',
  doc: 'Replaces the key or value by one of its fields; by null if it has none of that name.',
  config: CONFIG,
  create({ field: path, fieldSyntaxVersion, target }) {
    const steps = fieldSyntaxVersion === 'V1' ? [path] : stepsOf(path);
    return (record) => changeFields(record, target, (fields) => valueAt(fields, steps) ?? null);
  },
};

/** The names on a path; between backticks a name may have dots. @throws TypeError */
function stepsOf(path: string): readonly string[] {
  const steps: string[] = [];
  const step = /(?:`((?:[^`]|`(?!\.|$))*)`|([^.`][^.]*|))(?:\.|$)/y;
  while (step.lastIndex < path.length) {
    const match = step.exec(path);
    if (match === null) throw new TypeError(`${path} has a backtick without its other one`);
    steps.push(match[1] ?? match[2] ?? '');
  }
  return steps;
}
