/** The dialog that shows the camera's picture and takes a photo. */

import { element } from "./dom";
import { type Photo, photoOf } from "./photo";

const SENTENCES: Record<string, string> = {
  NotAllowedError: "The camera may not be used: permission was refused.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is in use by another program.",
};

type Facing = "environment" | "user";

export class Camera {
  private readonly dialog = element<HTMLDialogElement>("camera");
  private readonly video = element<HTMLVideoElement>("viewfinder");
  private facing: Facing = "environment";
  private stream: MediaStream | undefined;

  constructor(
    private readonly most: number,
    taken: (photo: Photo) => void,
    private readonly failed: (text: string) => void,
  ) {
    element("camera-take").onclick = () => {
      if (this.video.videoWidth === 0) return;
      const photo = photoOf(this.video, this.most);
      this.dialog.close();
      taken(photo);
    };
    element("camera-turn").onclick = () => {
      this.facing = this.facing === "user" ? "environment" : "user";
      void this.startStream();
    };
    element("camera-cancel").onclick = () => this.dialog.close();
    this.dialog.addEventListener("close", () => this.stopStream());
  }

  async open(): Promise<void> {
    if (!navigator.mediaDevices) {
      // Only pages from https or localhost get a stream; phones also take `capture`.
      element<HTMLInputElement>("capture").click();
      return;
    }
    if (await this.startStream()) this.dialog.showModal();
  }

  private async startStream(): Promise<boolean> {
    this.stopStream();
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: this.facing, width: { ideal: 1920 }, height: { ideal: 1440 } },
      });
    } catch (error) {
      this.dialog.close();
      const name = error instanceof DOMException ? error.name : "";
      this.failed(SENTENCES[name] ?? "The camera cannot be used here.");
      return false;
    }
    this.video.srcObject = this.stream;
    await this.video.play().catch(() => {}); // without a picture, the button takes none
    return true;
  }

  private stopStream(): void {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = undefined;
    this.video.srcObject = null;
  }
}
