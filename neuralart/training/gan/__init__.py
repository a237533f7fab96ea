"""The GAN loss: a small discriminator learns to tell squares of style images from paintings."""
