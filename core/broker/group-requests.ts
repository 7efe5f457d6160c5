import { outcomeOf } from '../protocol/answer-errors.ts';
import type { RequestHandlers } from '../protocol/exchange.ts';
import type { GroupRequests } from '../protocol/group-requests.ts';
import type { GroupCoordinator } from './group-coordinator.ts';
import type { OffsetStore } from './offset-store.ts';

export interface GroupEnvironment {
  readonly offsets: OffsetStore;
  readonly groups: GroupCoordinator;
}

/** Answers requests of the members of groups, and those that look after groups. */
export function groupRequests({
  offsets,
  groups,
}: GroupEnvironment): RequestHandlers<GroupRequests> {
  return {
    joinGroup: (request) => groups.join(request),
    syncGroup: (request) => groups.sync(request),
    heartbeat: async (request) => groups.heartbeat(request),
    leaveGroup: async (request) => groups.leave(request),
    offsetCommit: async (request) => {
      const mayCommit = (): void => groups.checkCommit(request);
      mayCommit();
      return { results: await offsets.commit(request.groupId, request.offsets, mayCommit) };
    },
    offsetFetch: async ({ groupId, partitions, requireStable }) => {
      return { offsets: offsets.fetch(groupId, partitions, requireStable) };
    },

    listGroups: async ({ states }) => groups.list(states),
    describeGroups: async ({ groupIds }) => groups.describe(groupIds),
    deleteGroups: async ({ groupIds }) => {
      const results = groupIds.map((groupId) =>
        outcomeOf({ groupId }, () => groups.delete(groupId)),
      );
      return { results: await Promise.all(results) };
    },
    offsetDelete: (request) => groups.deleteOffsets(request),
  };
}
