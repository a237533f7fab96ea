/** A dialog with the camera's picture. */

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
      void this.look();
    };
    element("camera-cancel").onclick = () => this.dialog.close();
    this.dialog.addEventListener("close", () => this.release());
  }

  async open(): Promise<void> {
    if (!navigator.mediaDevices) {
      // Only pages from https or localhost get a stream; phones can take a picture all the same.
      element<HTMLInputElement>("capture").click();
      return;
    }
    if (await this.look()) this.dialog.showModal();
  }

  private async look(): Promise<boolean> {
    this.release();
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
    await this.video.play().catch(() => {}); // without a picture, nothing is taken
    return true;
  }

  private release(): void {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = undefined;
    this.video.srcObject = null;
  }
}
