import { expect, test } from 'vitest';
import { decodeGroupValue, encodeGroupValue } from './coordinator-records.ts';
import { StructWriter } from '../protocol/struct-codec.ts';

const [subscription, assignment] = [Buffer.from('wanted'), Buffer.from('given')];
const member = {
  memberId: 'm-1',
  groupInstanceId: 'x',
  clientId: 'client',
  rebalanceTimeoutMs: 300_000,
  sessionTimeoutMs: 45_000,
  subscription,
  assignment,
};
const group = {
  protocolType: 'consumer',
  generation: 7,
  protocol: 'range',
  leaderId: 'm-1',
  stateMs: 1_700_000_000_000,
  members: [member],
};

function written(version: 0 | 1 | 2): Buffer {
  const writer = new StructWriter().int16(version).string('consumer').int32(7);
  writer.string('range').string('m-1');
  if (version >= 2) writer.int64(group.stateMs);
  return writer
    .array([member], () => {
      writer.string('m-1').string('client').string('/127.0.0.1');
      if (version >= 1) writer.int32(300_000);
      writer.int32(45_000).bytes(subscription).bytes(assignment);
    })
    .end();
}

function writtenFlexibly(): Buffer {
  const writer = new StructWriter().int16(4).compactString('consumer').int32(7);
  writer.compactString('range').compactString('m-1').int64(group.stateMs);
  const compactBytes = (bytes: Buffer) => writer.compactString(bytes.toString());
  writer.compactArray([member], () => {
    writer.compactString('m-1').compactString('x').compactString('client').compactString('/host');
    writer.int32(300_000).int32(45_000);
    compactBytes(subscription);
    compactBytes(assignment).uvarint(0);
  });
  return writer.uvarint(0).end();
}

test('[GROUP-22] a group is read as it was written, in each version that Kafka has', () => {
  const dynamic = { ...group, members: [{ ...member, groupInstanceId: null }] };
  const one = { ...dynamic, stateMs: -1 };
  const zero = { ...one, members: [{ ...one.members[0], rebalanceTimeoutMs: 45_000 }] };
  expect(decodeGroupValue(written(0))).toEqual(zero);
  expect(decodeGroupValue(written(1))).toEqual(one);
  expect(decodeGroupValue(written(2))).toEqual(dynamic);
  expect(decodeGroupValue(encodeGroupValue(group))).toEqual(group);
  expect(decodeGroupValue(writtenFlexibly())).toEqual(group);
});

test('[GROUP-22] a group that nobody is in has no protocol and no leader', () => {
  const empty = { ...group, protocol: null, leaderId: null, members: [] };
  expect(decodeGroupValue(encodeGroupValue(empty))).toEqual(empty);
});

test('[GROUP-22] a value that was cut anywhere is a RangeError, never half a group', () => {
  for (const bytes of [encodeGroupValue(group), writtenFlexibly().subarray(0, -1)]) {
    for (let sizeBytes = 0; sizeBytes < bytes.length; sizeBytes++) {
      expect(() => decodeGroupValue(bytes.subarray(0, sizeBytes))).toThrow(RangeError);
    }
  }
});
