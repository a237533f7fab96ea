/** Where photos come from: files, drop, paste, the camera, and the page's own photo to try. */

import { Camera } from "./camera";
import { element } from "./dom";
import { openPhoto, type Photo } from "./photo";

/** The photo to try, beside the page. */
const PHOTO_TO_TRY = "photo.jpg";

/** Gives each photo, in at most `most` pixels, to `taken`, and each failure in words to `failed`. */
export function takePhotos(
  most: number,
  taken: (photo: Photo) => void,
  failed: (text: string) => void,
): void {
  async function open(file: File): Promise<void> {
    const status = element("status");
    const before = status.textContent;
    status.textContent = `Opening “${file.name}” …`;
    try {
      taken(await openPhoto(file, most));
    } catch (error) {
      status.textContent = before;
      failed(error instanceof Error ? error.message : String(error));
    }
  }

  for (const id of ["file", "capture"]) {
    const input = element<HTMLInputElement>(id);
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      if (file) void open(file);
      input.value = ""; // so that choosing the same file again is a change
    });
  }

  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    element("drop").classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) element("drop").classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    element("drop").classList.remove("over");
    const file = event.dataTransfer?.files[0];
    if (file) void open(file);
    else failed("That is not a file. Save the picture first and drop the file here.");
  });
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (file) void open(file);
    else failed("There is no picture to paste. Copy the picture itself, not its address.");
  });

  element("try").onclick = async () => {
    try {
      const answer = await fetch(PHOTO_TO_TRY);
      if (!answer.ok) throw new Error(String(answer.status));
      await open(new File([await answer.blob()], PHOTO_TO_TRY, { lastModified: 0 }));
    } catch {
      failed("The photo to try could not be loaded. Is the connection gone?");
    }
  };

  const camera = new Camera(most, taken, failed);
  element("camera-open").onclick = () => void camera.open();
}
