"""What generating, training, serving and the whole pipeline take."""
