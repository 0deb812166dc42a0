import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import { Refusal } from '../errors.ts';

const firstSecond = -62_135_596_800;
const lastSecond = 253_402_300_799;

/** The times between which a request lists items. Throws INVALID_ARGUMENT for a time outside of the years 1 to 9999. */
export function timeRangeOf({ startTime, endTime }: { startTime?: Timestamp; endTime?: Timestamp }) {
  return { from: readTime('start_time', startTime), until: readTime('end_time', endTime) };
}

/** Over gRPC a Timestamp may hold any numbers. */
function readTime(field: string, time: Timestamp | undefined): Date | undefined {
  if (!time) return undefined;
  const { seconds, nanos } = time;
  if (seconds < firstSecond || seconds > lastSecond || nanos < 0 || nanos > 999_999_999)
    throw new Refusal('INVALID_ARGUMENT', { fields: [{ field, description: 'must be between the years 1 and 9999' }] });
  return timestampDate(time);
}
