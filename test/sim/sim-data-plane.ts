import type { EndpointUpdate } from '@remora/sidecar/threads/data-plane';
import { RecordingDataPlane } from '@remora/sidecar/threads/recording-data-plane';

/** The data plane of a simulated sidecar: records, and says when endpoints come. */
export class SimDataPlane extends RecordingDataPlane {
  onEndpoints: (update: EndpointUpdate) => void = () => {};

  override applyEndpoints(update: EndpointUpdate): Promise<void> {
    this.onEndpoints(update);
    return super.applyEndpoints(update);
  }
}
