"""restore: image restoration in which every model, loss and discriminator is a plugin."""
